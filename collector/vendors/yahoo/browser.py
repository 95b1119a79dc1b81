"""What Yahoo takes for a browser: the usual agents of HTTP libraries are answered with 429 on the first call."""

USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
