"""Language models: shapes, kinds of layers, and sizes that follow from them."""
