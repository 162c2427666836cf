// Without a file of assembly the compiler refuses a function without a body (goyield).
