package http1

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
)

// seedHeads adds the cases of testdata/cases and generated messages.
func seedHeads(f *testing.F, response bool, lines []string) {
	for i, c := range readCases(f) {
		if (c.asked != nil) == response {
			f.Add(c.in, uint64(i))
		}
	}
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 200 {
		f.Add(generate(r, lines), uint64(i))
	}
}

// FuzzRequest checks that a request has the same meaning however it is split,
// that the request passed on is the same, and that net/http, if it accepts it,
// agrees.
func FuzzRequest(f *testing.F) {
	seedHeads(f, false, requestLines)
	f.Fuzz(func(t *testing.T, p []byte, seed uint64) {
		r := &reader{}
		unsplit := exchange(r, clipped(p))
		checkSplits(t, p, unsplit, seed, func() *reader { return &reader{} })
		if r.headSize > 0 {
			checkAccessors(t, &r.request.Fields)
			checkForward(t, &smuggling{in: p}, r)
		}
		compareRequest(t, p)
	})
}

// FuzzResponse does the same for responses.
func FuzzResponse(f *testing.F) {
	seedHeads(f, true, statusLines)
	f.Fuzz(func(t *testing.T, p []byte, seed uint64) {
		request := RequestContext{Method: Method(seed % 4), WebSocket: seed%8 < 4}
		fresh := func() *reader { return &reader{response: true, asked: request} }
		r := fresh()
		unsplit := exchange(r, clipped(p))
		checkSplits(t, p, unsplit, seed, fresh)
		if r.headSize > 0 {
			checkAccessors(t, &r.answer.Fields)
		}
		compareResponse(t, p, request)
	})
}

func checkSplits(t *testing.T, p []byte, unsplit string, seed uint64, fresh func() *reader) {
	if split := exchange(fresh(), bytewise(p)...); !agree(unsplit, split, p) {
		t.Errorf("%q\nwhole:        %s\nbyte by byte: %s", p, unsplit, split)
	}
	if split := exchange(fresh(), pieces(p, seed)...); !agree(unsplit, split, p) {
		t.Errorf("%q\nwhole:     %s\nin pieces: %s", p, unsplit, split)
	}
}

// checkAccessors checks that all accessors agree.
func checkAccessors(t *testing.T, f *Fields) {
	var lines []byte
	at := f.start
	for i := range f.NumFields() {
		id := f.ID(i)
		if name := f.Name(i); len(name) == 0 || !all(name, isToken) || int(f.field[i].name) != at || f.p[f.field[i].colon] != ':' {
			t.Errorf("name %q at %d, want it at %d", name, f.field[i].name, at)
		}
		at = int(f.field[i].end) + 2
		if id != HeaderOf(f.Name(i)) {
			t.Errorf("%q is parsed as %v", f.Name(i), id)
		}
		if !f.Has(id) || f.Find(id, i) != i {
			t.Errorf("%v is not found at %d, but at %d", id, i, f.Find(id, i))
		}
		if first := f.Find(id, 0); !bytes.Equal(f.Get(id), f.Value(first)) || f.Repeated(id) != (f.Find(id, first+1) > 0) {
			t.Errorf("%v: first at %d, repeated %v", id, first, f.Repeated(id))
		}
		if v := f.Value(i); !all(v, isValue) || len(trim(v)) != len(v) {
			t.Errorf("value %q", v)
		}
		if f.rewritten.Has(id) && !f.Dropped(i) {
			t.Errorf("%v is rewritten, but %q is not dropped", id, f.Name(i))
		}
		if !f.Dropped(i) && id != HeaderDate {
			lines = append(lines, f.p[f.field[i].name:f.field[i].end+2]...)
		}
	}
	if at != f.end || string(f.p[at:at+2]) != "\r\n" {
		t.Errorf("the fields end at %d, the head at %d", at, f.end)
	}
	without := HeaderSet(1 << HeaderDate)
	if f.rewritten != 0 {
		checkRewritten(t, f)
		without |= f.rewritten
	}
	if got := f.AppendFields(nil, without); !bytes.Equal(got, lines) {
		t.Errorf("AppendFields gives %q, want %q", got, lines)
	}
}

// checkRewritten checks that each field that is rewritten is passed on once, in a form
// that is not rewritten again.
func checkRewritten(t *testing.T, f *Fields) {
	p := append([]byte("HTTP/1.1 200 OK\r\n"), f.AppendFields(nil, 0)...)
	var again ResponseHead
	var scan Scan
	if n, r := again.Parse(append(p, "\r\n"...), &scan, MaxHead, RequestContext{}); n == 0 || again.rewritten != 0 {
		t.Fatalf("%q is passed on as %q: %v", f.p, p, r)
	}
	for id := range NumHeaders {
		if f.rewritten.Has(id) && (!again.Has(id) || again.Repeated(id)) {
			t.Errorf("%v is passed on as %q", id, p)
		}
	}
}

// readChunked reads a chunked body in these pieces. It returns the data, how
// many bytes belong to the body, and whether it is done.
func readChunked(pieces [][]byte) (data []byte, size int, done bool, r Reason) {
	var c Chunked
	for _, p := range pieces {
		for len(p) > 0 && !c.Done() && r == ReasonNone {
			var d []byte
			var n int
			d, n, r = c.Next(p)
			data = append(data, d...)
			size += n
			p = p[n:]
		}
	}
	return data, size, c.Done(), r
}

// pass appends the part of p that is passed on, and returns how many bytes were read.
func pass(c *Chunked, dst, p []byte) (passed []byte, n int, r Reason) {
	n, r = c.Pass(p)
	passed = append(dst, p[:n]...)
	if r != ReasonNone || !c.InTrailers() {
		return passed, n, r
	}
	passed, more, r := c.AppendTrailers(passed, p[n:])
	return passed, n + more, r
}

// passChunked passes on a chunked body in these pieces, and returns it.
func passChunked(pieces [][]byte, t Trailers) (passed []byte, size int, done bool, r Reason) {
	c := Chunked{Trailers: t}
	for _, p := range pieces {
		var n int
		passed, n, r = pass(&c, passed, p)
		size += n
		if r != ReasonNone {
			break
		}
	}
	return passed, size, c.Done(), r
}

// checkPassed checks that a body is passed on complete, the same however it is split,
// with no trailers but those that may be, and that it then passes unchanged.
func checkPassed(t *testing.T, p []byte, seed uint64) {
	keep := Trailers(seed % 3)
	passed, size, done, r := passChunked([][]byte{clipped(p)}, keep)
	for _, pieces := range [][][]byte{bytewise(p), pieces(p, seed)} {
		passed2, size2, done2, r2 := passChunked(pieces, keep)
		if size != size2 || done != done2 || r != r2 || done && !bytes.Equal(passed, passed2) {
			t.Errorf("%q: passed as %q %d %v %v, in pieces %q %d %v %v", p, passed, size, done, r, passed2, size2, done2, r2)
		}
	}
	if !done {
		return
	}
	again, _, done, r := passChunked([][]byte{passed}, keep)
	if !done || r != ReasonNone || !bytes.Equal(passed, again) {
		t.Errorf("%q: %q passes as %q %v %v", p, passed, again, done, r)
	}
	data, _, _, _ := readChunked([][]byte{p})
	if left, _, _, _ := readChunked([][]byte{passed}); !bytes.Equal(data, left) {
		t.Errorf("%q: the data %q pass as %q", p, data, left)
	}
}

// FuzzChunked checks that a chunked body is the same however it is split, that
// net/http reads the same data, and that encoding and decoding return the data.
func FuzzChunked(f *testing.F) {
	for i, c := range readCases(f) {
		if _, body, ok := strings.Cut(string(c.in), "\r\n\r\n"); ok {
			f.Add([]byte(body), uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, p []byte, seed uint64) {
		data, size, done, r := readChunked([][]byte{clipped(p)})
		for _, pieces := range [][][]byte{bytewise(p), pieces(p, seed)} {
			if data2, size2, done2, r2 := readChunked(pieces); !bytes.Equal(data, data2) || size != size2 || done != done2 || r != r2 {
				t.Errorf("%q: unsplit %q %d %v %v, in pieces %q %d %v %v", p, data, size, done, r, data2, size2, done2, r2)
			}
			if _, size2, done2, r2 := passChunked(pieces, TrailersPass); size != size2 || done != done2 || r != r2 {
				t.Errorf("%q: Next %d %v %v, Pass %d %v %v", p, size, done, r, size2, done2, r2)
			}
		}
		checkPassed(t, p, seed)
		if done {
			if theirs, rest, err := chunksByNetHTTP(p); err == nil && !bytes.Equal(data, theirs) || err != nil && !isLimit(err) || !bytes.HasSuffix(rest, p[size:]) {
				t.Errorf("%q: %q, net/http %q %v, rest %q", p, data, theirs, err, rest)
			}
		}
		coded := encode(p, seed)
		if again, size, done, r := readChunked(pieces(append(coded, p...), seed)); !bytes.Equal(again, p) || size != len(coded) || !done || r != ReasonNone {
			t.Errorf("%q comes back as %q (%d of %d bytes, %v, %v)", p, again, size, len(coded), done, r)
		}
	})
}

// FuzzCookie checks that removing a cookie removes it and keeps all others.
func FuzzCookie(f *testing.F) {
	for _, cookies := range []string{
		"", "SERVERID=node1", "a=b; SERVERID=node1; c=d", "SERVERID=1; SERVERID=2", "a=\"x; SERVERID=1\"; b=c", "a=\"x; SERVERID=1", "SERVERID", "=SERVERID",
		" ; ;a=b;;", "a=\"\\\"; SERVERID=1\"", "a = b ; SERVERID = 1", "a=\"b\"c; SERVERID=1\"",
	} {
		f.Add([]byte(cookies), []byte("SERVERID"))
	}
	f.Fuzz(func(t *testing.T, cookies, name []byte) {
		left := AppendCookiesWithout([]byte("x"), cookies, name)[1:]
		if FindCookie(left, name) != nil {
			t.Errorf("%q: %q is still in %q", cookies, name, left)
		}
		var kept, after []string
		for n, value, rest := NextCookie(cookies); n != nil; n, value, rest = NextCookie(rest) {
			if !bytes.Equal(n, name) {
				kept = append(kept, string(n)+"="+string(value))
			}
		}
		for n, value, rest := NextCookie(left); n != nil; n, value, rest = NextCookie(rest) {
			after = append(after, string(n)+"="+string(value))
		}
		if strings.Join(kept, "\n") != strings.Join(after, "\n") {
			t.Errorf("%q without %q is %q: %q became %q", cookies, name, left, kept, after)
		}
	})
}

// FuzzList checks that no element is empty or has surrounding white space, and
// that a list of the elements has the same elements.
func FuzzList(f *testing.F) {
	for _, list := range []string{"", "a", "a, b", ",a,,b ,", "a=\"b,c\", d", "a=\"b, c", "gzip;q=0.5, *;q=0", "\"\\\"\",a"} {
		f.Add([]byte(list))
	}
	f.Fuzz(func(t *testing.T, list []byte) {
		var elements [][]byte
		for e, rest := NextElement(list); e != nil; e, rest = NextElement(rest) {
			if len(e) == 0 || len(trim(e)) != len(e) {
				t.Errorf("%q has the element %q", list, e)
			}
			elements = append(elements, e)
			AcceptsCoding(list, "gzip")
			if all(e, isToken) && !HasToken(list, string(e)) {
				t.Errorf("%q has no token %q", list, e)
			}
		}
		joined := bytes.Join(elements, []byte(", "))
		for e, rest := NextElement(joined); e != nil; e, rest = NextElement(rest) {
			if len(elements) == 0 || !bytes.Equal(e, elements[0]) {
				t.Fatalf("%q: %q, and again: %q", list, elements, e)
			}
			elements = elements[1:]
		}
		if len(elements) > 0 {
			t.Errorf("%q: %q are lost", list, elements)
		}
	})
}
