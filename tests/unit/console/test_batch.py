"""One action for many mails."""

from console.batch import Batch, work_through
from ingest.errors import GraphUnavailable, OperatorError


def test_the_trouble_of_one_mail_stops_no_other_and_names_its_mails() -> None:
    tried: list[int] = []

    def step(mail: int) -> str | None:
        tried.append(mail)
        if mail in {2, 4}:
            raise OperatorError("The mail was moved elsewhere.")
        if mail == 5:
            raise GraphUnavailable("down")
        return "The cause is not mended." if mail == 3 else None

    mails = {f"k{number}": number for number in range(1, 7)}
    batch = work_through(mails, step, names={key: str(4710 + number) for key, number in mails.items()})
    assert tried == [1, 2, 3, 4, 5, 6]
    assert batch == Batch(
        done=("k1", "k3", "k6"),
        left=("k2", "k4", "k5"),
        trouble=("4712, 4714: The mail was moved elsewhere.", "4715: down"),
        warnings=("4713: The cause is not mended.",),
    )
