"""Sessions of requests that are signed in to a simulator."""

from __future__ import annotations

import requests

from local.graph.process import Simulator


def signed_in(simulator: Simulator) -> requests.Session:
    """Return a session with a token of the app. The caller closes the session."""
    session = requests.Session()
    session.trust_env = False  # a CA bundle of the environment would win over the simulator's
    session.verify = str(simulator.ca_file)
    session.headers["Authorization"] = f"Bearer {new_token(simulator, session)}"
    session.headers["Prefer"] = 'IdType="ImmutableId"'
    return session


def new_token(simulator: Simulator, session: requests.Session) -> str:
    """Return a token by the app's client secret."""
    grant = {
        "grant_type": "client_credentials",
        "scope": "https://graph.microsoft.com/.default",
        "client_id": simulator.identity.client_id,
        "client_secret": simulator.identity.client_secret,
    }
    url = f"{simulator.authority_host}/{simulator.identity.tenant_id}/oauth2/v2.0/token"
    token: str = session.post(url, data=grant).json()["access_token"]
    return token
