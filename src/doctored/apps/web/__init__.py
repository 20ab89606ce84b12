"""The local web page and its HTTP API: pictures in, verdict and maps out, nothing leaves the machine."""
