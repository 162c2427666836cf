package http1

// NextCookie returns the first cookie of a Cookie field's value (RFC 6265
// section 4.2) and what follows it; an element without "=" is a value without
// a name, as in browsers (RFC 6265bis section 5.6). Empty elements are left
// out; at the end, name and value are nil. A value in double quotes ends at
// the closing quote, semicolons or not, as with servers that read cookies by
// RFC 2109; it is returned with its quotes. All cookies:
//
//	for name, value, rest := NextCookie(cookies); name != nil; name, value, rest = NextCookie(rest) {
func NextCookie(cookies []byte) (name, value, rest []byte) {
	for len(cookies) > 0 {
		end := cookieEnd(cookies)
		pair := trim(cookies[:end])
		cookies = cookies[min(end+1, len(cookies)):]
		if len(pair) == 0 {
			continue
		}
		name, value = cutCookie(pair)
		return name, value, cookies
	}
	return nil, nil, nil
}

// FindCookie returns the value of the first cookie called name (names have
// case) in a Cookie field's value, quotes included; nil when there is none.
func FindCookie[N text](cookies []byte, name N) []byte {
	for n, value, rest := NextCookie(cookies); n != nil; n, value, rest = NextCookie(rest) {
		if string(n) == string(name) {
			return value
		}
	}
	return nil
}

// AppendCookiesWithout appends a Cookie field's value without the cookies
// called name, each of those left as it came and "; " between them. It appends
// nothing when none is left: then the field is to be left out.
func AppendCookiesWithout[N text](dst, cookies []byte, name N) []byte {
	empty := true
	for len(cookies) > 0 {
		end := cookieEnd(cookies)
		pair := trim(cookies[:end])
		cookies = cookies[min(end+1, len(cookies)):]
		n, _ := cutCookie(pair)
		if len(pair) == 0 || string(n) == string(name) {
			continue
		}
		if !empty {
			dst = append(dst, "; "...)
		}
		dst = append(dst, pair...)
		empty = false
	}
	return dst
}

// cookieEnd returns the index of the semicolon that ends the first cookie, or
// len(p).
func cookieEnd(p []byte) int {
	i := indexOr(p, 0, ';')
	equals := indexOr(p[:i], 0, '=')
	quote := skip(p, min(equals+1, i), isSpace)
	if quote >= i || p[quote] != '"' {
		return i
	}
	closing := quotedEnd(p, quote)
	end := skip(p, min(closing+1, len(p)), isSpace)
	if closing < len(p) && (end == len(p) || p[end] == ';') {
		return end
	}
	return i // a quote like any other byte
}

// cutCookie cuts a cookie without white space around it at its first "=".
func cutCookie(pair []byte) (name, value []byte) {
	equals := indexOr(pair, 0, '=')
	if equals == len(pair) {
		return pair[:0], pair
	}
	return trim(pair[:equals]), trim(pair[equals+1:])
}
