"""Upload addresses as people write them. `ingest.routing` has the app's own reading of recipients."""

from __future__ import annotations

from ingest.errors import OperatorError
from ingest.routing import normal_token, token_of
from ingest.settings import AddressSettings

_FORMS = ("upload.{token}@{domain}", "upload+{token}@{domain}")


class UploadAddresses:
    """Token to address and back, by the settings."""

    def __init__(self, settings: AddressSettings) -> None:
        self._settings = settings

    def address(self, token: str) -> str:
        """Return the address that routes to `token`. Raises OperatorError where the pattern takes no usual form."""
        domain = self._settings.domains[0]
        written = token.lower()
        for form in _FORMS:
            address = form.format(token=written, domain=domain)
            if self.token(address) == normal_token(token):
                return address
        raise OperatorError(
            f"INGEST_ADDRESS_PATTERN takes neither {' nor '.join(_FORMS)} for this token: "
            "write the address as your pattern wants it."
        )

    def token(self, address: str) -> str | None:
        """Return the token in an address, as tokens are compared; None where there is none."""
        return token_of(address, self._settings.pattern)
