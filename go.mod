module mcplb

go 1.26
