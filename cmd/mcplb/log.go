package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"mcplb/conf"
)

// logStyle is how much is logged and in which form. Both may change at any
// time, for every logger that was made of it.
type logStyle struct {
	level slog.LevelVar
	json  atomic.Bool
}

func newLogStyle(c conf.Global) *logStyle {
	style := &logStyle{}
	style.apply(c)
	return style
}

// apply changes the style to what c says.
func (style *logStyle) apply(c conf.Global) {
	style.level.Set(c.LogLevel)
	style.json.Store(c.LogFormat == conf.LogJSON)
}

// logger returns one that writes to w.
func (style *logStyle) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: &style.level}
	w = &oneWriter{w: w}
	return slog.New(&styled{style, slog.NewTextHandler(w, options), slog.NewJSONHandler(w, options)})
}

// styled is a slog.Handler that writes in the form that holds at the moment.
type styled struct {
	style      *logStyle
	text, json slog.Handler
}

// Enabled implements slog.Handler.
func (h *styled) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.style.level.Level()
}

// Handle implements slog.Handler.
func (h *styled) Handle(ctx context.Context, record slog.Record) error {
	if h.style.json.Load() {
		return h.json.Handle(ctx, record)
	}
	return h.text.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (h *styled) WithAttrs(attributes []slog.Attr) slog.Handler {
	return &styled{h.style, h.text.WithAttrs(attributes), h.json.WithAttrs(attributes)}
}

// WithGroup implements slog.Handler.
func (h *styled) WithGroup(name string) slog.Handler {
	return &styled{h.style, h.text.WithGroup(name), h.json.WithGroup(name)}
}

// oneWriter lets one line be written at a time, whatever its form.
type oneWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (o *oneWriter) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(line)
}
