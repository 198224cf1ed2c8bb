# The package, compiled, and what `h2o-otel demo` and `h2o-otel serve` need.
ARG PYTHON=3.13-slim

FROM python:${PYTHON} AS build
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
WORKDIR /source
COPY pyproject.toml setup.py MANIFEST.in README.md LICENSE ./
COPY h2o_otel h2o_otel
# An image without the compiled modules would be many times slower: rather no image.
RUN H2O_OTEL_REQUIRE_CYTHON=1 pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:${PYTHON}
ARG EXTRAS=demo,prometheus,uvloop
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/*.whl)[${EXTRAS}]" && rm -r /wheels
RUN useradd --system --uid 10001 --create-home demo && install --directory --owner demo /certificates
COPY deploy/healthcheck.py /usr/local/lib/h2o-otel/healthcheck.py
USER demo
WORKDIR /home/demo
ENTRYPOINT ["h2o-otel"]
CMD ["--help"]
