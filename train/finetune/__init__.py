"""Fine-tuning of a network on a person's own images: `python -m detforge.train.finetune`."""
