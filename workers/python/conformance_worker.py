"""The handlers that `orchis conformance -- python3 workers/python/conformance_worker.py` wants."""
from orchis_worker import Failure, handler, run


@handler("conformance.echo", version="1")
def echo(job, **inputs):
    """Returns its inputs."""
    return inputs


@handler("conformance.fail")
def fail(job, code="error", message="", permanent=False, retryAfter=0):
    """Fails as it is told."""
    raise Failure(message, code, permanent, retryAfter)


@handler("conformance.sleep")
def sleep(job, ms=0):
    """Takes its time."""
    job.wait(ms / 1000)
    return {"slept": ms}


@handler("conformance.large")
def large(job, size=0):
    """Returns a large text."""
    return {"text": "x" * size}


if __name__ == "__main__":
    run()
