import pytest

from local.functions_host.errors import StartError
from local.functions_host.routes import compile_route


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("graph/notifications", "/api/graph/notifications", {}),
        ("graph/notifications", "/API/Graph/Notifications/", {}),
        ("graph/notifications", "/api/graph/notifications/more", None),
        ("graph/notifications", "/graph/notifications", None),
        ("orders/{id}", "/api/orders/a%20b%2Fc", {"id": "a b/c"}),
        ("orders/{id}", "/api/orders/", None),
        ("orders/{id?}", "/api/orders", {}),
        ("orders/{id:int}", "/api/orders/12", {"id": "12"}),
        ("orders/{id:int}", "/api/orders/twelve", None),
        (
            "orders/{id:guid?}",
            "/api/orders/0f8fad5b-d9cb-469f-a165-70867728950e",
            {"id": "0f8fad5b-d9cb-469f-a165-70867728950e"},
        ),
        ("files/{*path}", "/api/files/a/b.txt", {"path": "a/b.txt"}),
        ("files/{*path}", "/api/files", {}),
        ("report-{year:int}.pdf", "/api/report-2026.pdf", {"year": "2026"}),
        ("report-{year:int}.pdf", "/api/report-2026xpdf", None),
    ],
)
def test_a_route_matches_as_its_template_says(template: str, path: str, parameters: dict[str, str] | None) -> None:
    assert compile_route("api", template).match(path) == parameters


def test_without_a_prefix_routes_begin_at_the_root() -> None:
    assert compile_route("", "hook").match("/hook") == {}


def test_literal_routes_go_before_parameters_and_these_before_catch_alls() -> None:
    routes = [compile_route("api", template) for template in ("{*all}", "{one}", "{a}/{b}", "one")]
    assert [route.template for route in sorted(routes, key=lambda route: route.order)] == [
        "one",
        "{one}",
        "{a}/{b}",
        "{*all}",
    ]


@pytest.mark.parametrize("template", ["{id:even}", "a{b", "{}"])
def test_a_template_that_cannot_be_served_is_refused(template: str) -> None:
    with pytest.raises(StartError, match="route"):
        compile_route("api", template)
