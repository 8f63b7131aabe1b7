"""The report's sections: results in, what is printed out; the templates only lay it out."""
