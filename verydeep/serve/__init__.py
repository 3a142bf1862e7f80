"""HTTP service for trained models: answers, limits, life cycle, page.

===============  ================================================================================
settings         address, token, limits
start            what is checked before a process begins to listen
process          the process: signals, loading, draining; ``connection``: bounds on slow clients
app              routes, from a request to an answer
security         token, hosts and origins, headers of answers
uploads          images in the body of a request; ``multipart``: those of a form
admission        bound on images and bytes that wait
service          from encoded images to answers: decoding, batches, model
decoders         processes that decode images (``decode_process``, ``decoding``)
batching         the thread of the models, and batches of images of all clients
models           loaded models
explaining       Grad-CAM and boxes as PNG
answers          answers as documented types; ``problems``: refusals; ``openapi``: both as text
metrics          counters for Prometheus
watch            a folder whose images are named into a table
page/            the page at ``/``
===============  ================================================================================
"""
