"""Language models: their shapes, and the sizes that follow from them."""
