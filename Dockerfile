# docker build -t deepforcing .         the same image for CPUs and, run with --gpus all, for NVIDIA GPUs
# docker run -p 7860:7860 --stop-timeout 10 deepforcing
# A smaller image for CPUs only: --build-arg EXTRA_INDEX=<an index that has torch's CPU builds>

FROM python:3.11-slim

ARG EXTRA_INDEX=""
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 HF_HOME=/data

RUN useradd --create-home viewer && mkdir /data && chown viewer /data
WORKDIR /home/viewer/app
COPY requirements.txt .
RUN PIP_EXTRA_INDEX_URL="$EXTRA_INDEX" pip install -r requirements.txt
COPY --chown=viewer . .

USER viewer
EXPOSE 7860
VOLUME /data
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]
ENTRYPOINT ["python", "app.py", "--host", "0.0.0.0", "--port", "7860"]
