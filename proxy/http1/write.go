package http1

import (
	"strconv"
	"time"
)

// Whole field lines of what is hop-by-hop, and so is written anew.
const (
	FieldChunked    = "Transfer-Encoding: chunked\r\n"
	FieldClose      = "Connection: close\r\n"
	FieldKeepAlive  = "Connection: keep-alive\r\n" // is only news to 1.0 clients
	FieldsWebSocket = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
)

// AppendField appends a whole field line: name, colon, space, value, CRLF. The
// caller answers for what they are made of.
func AppendField[V text](dst []byte, name string, value V) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// AppendLength appends the field Content-Length of n bytes.
func AppendLength(dst []byte, n int64) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, n, 10)
	return append(dst, "\r\n"...)
}

// AppendDate appends t as Date and its like write it (RFC 9110 section 5.6.7),
// without field name and CRLF.
func AppendDate(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "Mon, 02 Jan 2006 15:04:05 GMT")
}

// AppendStatusLine appends a status line of HTTP/1.1 with the phrase of
// StatusText.
func AppendStatusLine(dst []byte, status int) []byte {
	return appendStatusLine(dst, status, StatusText(status))
}

func appendStatusLine[V text](dst []byte, status int, phrase V) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, phrase...)
	return append(dst, "\r\n"...)
}

// Answer is a response that the proxy gives itself.
type Answer struct {
	Status      int
	KeepAlive   bool   // false: Connection: close, and the caller closes
	Head        bool   // the request was a HEAD: the body's length is told, the body left out
	Date        []byte // as of AppendDate; nil = no Date
	ContentType string // "" = no Content-Type
	Fields      []byte // further whole field lines, such as Retry-After; nil = none
	Body        []byte
}

// AppendAnswer appends a whole response, of any status that may have a body
// (not 1xx, 204, 304).
func AppendAnswer(dst []byte, a Answer) []byte {
	dst = AppendStatusLine(dst, a.Status)
	if a.Date != nil {
		dst = AppendField(dst, "Date", a.Date)
	}
	if a.ContentType != "" {
		dst = AppendField(dst, "Content-Type", a.ContentType)
	}
	dst = AppendLength(dst, int64(len(a.Body)))
	dst = append(dst, a.Fields...)
	// To a 1.0 client that asked for it, keep-alive must be said; to others it
	// does no harm.
	if a.KeepAlive {
		dst = append(dst, FieldKeepAlive...)
	} else {
		dst = append(dst, FieldClose...)
	}
	dst = append(dst, "\r\n"...)
	if a.Head {
		return dst
	}
	return append(dst, a.Body...)
}

// StatusText returns the usual reason phrase of a status that a proxy gives by
// itself (RFC 9110 section 15, RFC 6585); "" for all others.
func StatusText(status int) string {
	switch status {
	case 100:
		return "Continue"
	case 101:
		return "Switching Protocols"
	case 200:
		return "OK"
	case 202:
		return "Accepted"
	case 204:
		return "No Content"
	case 301:
		return "Moved Permanently"
	case 302:
		return "Found"
	case 304:
		return "Not Modified"
	case 307:
		return "Temporary Redirect"
	case 308:
		return "Permanent Redirect"
	case 400:
		return "Bad Request"
	case 401:
		return "Unauthorized"
	case 403:
		return "Forbidden"
	case 404:
		return "Not Found"
	case 405:
		return "Method Not Allowed"
	case 408:
		return "Request Timeout"
	case 411:
		return "Length Required"
	case 413:
		return "Content Too Large"
	case 414:
		return "URI Too Long"
	case 417:
		return "Expectation Failed"
	case 421:
		return "Misdirected Request"
	case 426:
		return "Upgrade Required"
	case 429:
		return "Too Many Requests"
	case 431:
		return "Request Header Fields Too Large"
	case 500:
		return "Internal Server Error"
	case 501:
		return "Not Implemented"
	case 502:
		return "Bad Gateway"
	case 503:
		return "Service Unavailable"
	case 504:
		return "Gateway Timeout"
	case 505:
		return "HTTP Version Not Supported"
	}
	return ""
}
