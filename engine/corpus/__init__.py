"""From files of any common format to one clean Parquet file of texts and labels."""
