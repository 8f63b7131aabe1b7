"""Charts as inline SVG: numbers in, markup out; each stretches with the page, its text does not."""
