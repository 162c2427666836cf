package http1

import "testing"

func BenchmarkPartLine(b *testing.B) {
	var h RequestHead
	p := []byte(mcpPost)
	for b.Loop() {
		h.parseLine(p)
	}
}
func BenchmarkPartFields(b *testing.B) {
	var h RequestHead
	p := []byte(mcpPost)
	i, _ := h.parseLine(p)
	for b.Loop() {
		h.parseFields(p, i)
	}
}
func BenchmarkPartInterpret(b *testing.B) {
	var h RequestHead
	p := []byte(mcpPost)
	h.parse(p)
	for b.Loop() {
		h.interpret()
	}
}
func BenchmarkPartHost(b *testing.B) {
	var h RequestHead
	p := []byte(mcpPost)
	h.parse(p)
	for b.Loop() {
		h.checkHost()
	}
}
func BenchmarkPartTwins(b *testing.B) {
	var h RequestHead
	p := []byte(mcpPost)
	h.parse(p)
	for b.Loop() {
		h.dropTwins()
	}
}
func BenchmarkPartValue(b *testing.B) {
	p := []byte("6b1d6a2e9c5f4b0f8d3a7e1c2b4d6f80\r\n678")
	for b.Loop() {
		skipValue(p, 0)
	}
}
func BenchmarkPartID(b *testing.B) {
	p := []byte("Content-Length: 5\r\nFoo: bar\r\nfoasdf")
	for b.Loop() {
		knownAt(p, 0)
	}
}
