"""Collections as Graph answers them: a page, its link to the next one, a count."""

from collections.abc import Callable, Sequence
from urllib.parse import quote, urlencode

from local.graph.http.odata import MAX_TOP, parse_page
from local.graph.mail.exchange import Json, Request, Response


def list_answer[T](
    request: Request, items: Sequence[T], render: Callable[[T], Json], *, max_top: int = MAX_TOP
) -> Response:
    """One page of `items`, which are filtered and sorted already.

    The link to the next page says how many items to skip, as Outlook's does: a client that deletes while paging
    skips as many mails as it deleted.
    """
    page = parse_page(request.query, max_top=max_top)
    answer: Json = {"@odata.context": f"{request.base_url}/$metadata#{'/'.join(request.segments)}"}
    if page.count:
        answer["@odata.count"] = len(items)
    answer["value"] = [render(item) for item in items[page.skip : page.skip + page.top]]
    if page.skip + page.top < len(items):
        query = {**request.query, "$skip": str(page.skip + page.top)}
        answer["@odata.nextLink"] = f"{request.base_url}{request.path}?{urlencode(query, quote_via=quote)}"
    return Response(json=answer)
