"""Radiomics by the definitions of the Image Biomarker Standardisation Initiative (IBSI 1).

Names are the initiative's own tags. Each family of matrices is a module; `measure` puts them
together, `region` prepares what they read.
"""
