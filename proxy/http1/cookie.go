package http1

// NextCookie returns the first cookie of a Cookie field's value, and the rest
// of the value. It parses as browsers and today's servers do (RFC 6265 section
// 4.2, 6265bis section 5.6): a semicolon ends a cookie, quoted or not; an
// element without "=" is a value without a name. It omits double quotes around
// a value and skips empty elements; at the end, name and value are nil. To
// visit all cookies:
//
//	for name, value, rest := NextCookie(cookies); name != nil; name, value, rest = NextCookie(rest) {
func NextCookie(cookies []byte) (name, value, rest []byte) {
	pair, rest := nextPair(cookies)
	if pair == nil {
		return nil, nil, nil
	}
	name, value = cutCookie(pair)
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value = value[1 : n-1]
	}
	return name, value, rest
}

// FindCookie returns the value of the first cookie with that name
// (case-sensitive) in a Cookie field's value, without surrounding quotes; nil
// if there is none.
func FindCookie[N text](cookies []byte, name N) []byte {
	for n, value, rest := NextCookie(cookies); n != nil; n, value, rest = NextCookie(rest) {
		if string(n) == string(name) {
			return value
		}
	}
	return nil
}

// AppendCookiesWithout appends a Cookie field's value without the cookies
// called name: the others unchanged, separated by "; ". It appends nothing if
// none is left: the caller then omits the field.
func AppendCookiesWithout[N text](dst, cookies []byte, name N) []byte {
	separator := ""
	for pair, rest := nextPair(cookies); pair != nil; pair, rest = nextPair(rest) {
		if n, _ := cutCookie(pair); string(n) == string(name) {
			continue
		}
		dst = append(dst, separator...)
		dst = append(dst, pair...)
		separator = "; "
	}
	return dst
}

// nextPair returns the first non-empty element of a Cookie field's value,
// without surrounding white space, and the rest of the value; nil at the end.
func nextPair(cookies []byte) (pair, rest []byte) {
	for len(cookies) > 0 {
		end := indexOr(cookies, ';')
		pair = trim(cookies[:end])
		cookies = cookies[min(end+1, len(cookies)):]
		if len(pair) > 0 {
			return pair, cookies
		}
	}
	return nil, nil
}

// cutCookie splits a cookie at its first "=".
func cutCookie(pair []byte) (name, value []byte) {
	equals := indexOr(pair, '=')
	if equals == len(pair) {
		return pair[:0], pair
	}
	return trim(pair[:equals]), trim(pair[equals+1:])
}
