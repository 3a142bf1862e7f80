"""Failures of the Hugging Face Hub as one message with a remedy."""

from __future__ import annotations

from typing import Any, Literal

from verydeep.errors import MissingExtra, ModelError
from verydeep.models.hub.name import HubName

Doing = Literal["read", "write"]

LOG_IN = "log in with hf auth login, or set HF_TOKEN"


def hub_package(name: HubName) -> Any:
    """Return ``huggingface_hub``.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtra(f"{name}: a model on the Hugging Face Hub", "hub") from error
    return huggingface_hub


def is_unreachable(error: Exception) -> bool:
    """Return whether the Hub gave no answer at all, or only a temporary failure."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    status = _status(error)
    return status >= 500 if status else not isinstance(error, HfHubHTTPError | HFValidationError)


def explained(name: HubName, error: Exception, doing: Doing) -> ModelError:
    """Return a failure of the Hub as an error of the user's input.

    Args:
        name: The model.
        error: Exception raised by ``huggingface_hub``.
        doing: ``read`` for a download, ``write`` for an upload.
    """
    from huggingface_hub import errors

    error = _cause(error)
    if isinstance(error, errors.GatedRepoError):
        page = f"{_endpoint()}/{name.repository}"
        return ModelError(f"{name}: gated: accept its terms at {page}, and {LOG_IN}")
    if isinstance(error, errors.RevisionNotFoundError):
        return ModelError(f"{name}: has no revision {name.revision or 'main'!r}; check the name")
    if isinstance(error, errors.RepositoryNotFoundError):
        return ModelError(
            f"{name}: no such model on the Hugging Face Hub, or a private one: check the name; "
            f"for a private one, {LOG_IN}"
        )
    if is_unreachable(error):
        return ModelError(_unreachable(name, error, doing))
    status = _status(error)
    if status == 401:
        return ModelError(f"{name}: the Hub refuses the token as invalid: {LOG_IN}")
    if status == 403:
        need = "write" if doing == "write" else "read"
        return ModelError(
            f"{name}: the Hub refuses access ({_first_line(error)}): use a token of a member of "
            f"{name.repository.partition('/')[0]} that may {need}: {LOG_IN}"
        )
    return ModelError(f"{name}: the Hub refuses ({_first_line(error)})")


def _unreachable(name: HubName, error: Exception, doing: Doing) -> str:
    reason = _first_line(error)
    if doing == "write":
        return f"{name}: the Hub cannot be reached ({reason}); check the network and HTTPS_PROXY"
    return (
        f"{name}: the Hub cannot be reached ({reason}), and the model is not in its cache in "
        f"{_cache()}. Check the network and HTTPS_PROXY; or bring the model's folder from another "
        "machine, and name that"
    )


def _cause(error: Exception) -> Exception:
    """Return the failure itself if it was raised again with the name of a file."""
    cause = error.__cause__
    return cause if type(error) is RuntimeError and isinstance(cause, Exception) else error


def _status(error: Exception) -> int:
    return int(getattr(getattr(error, "response", None), "status_code", 0))


def _first_line(error: Exception) -> str:
    """Return the status and the Hub's own words if it sent some, else the error's first line."""
    told = getattr(error, "server_message", None) or str(error) or type(error).__name__
    status = f"HTTP {_status(error)}: " if _status(error) else ""
    return status + " ".join(str(told).splitlines()[0].split())


def _endpoint() -> str:
    from huggingface_hub import constants

    return str(constants.ENDPOINT)


def _cache() -> str:
    from huggingface_hub import constants

    return str(constants.HF_HUB_CACHE)
