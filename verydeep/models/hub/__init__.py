"""Models on the Hugging Face Hub: ``hf:owner/name`` as a model, and pushing one there."""
