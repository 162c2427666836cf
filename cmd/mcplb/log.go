package main

import (
	"context"
	"io"
	"log/slog"
	"sync/atomic"

	"mcplb/conf"
)

// logStyle is the level and the format of the log. Both may change at any time, for
// every logger of the style.
type logStyle struct {
	level slog.LevelVar
	json  atomic.Bool
}

func newLogStyle(c conf.Global) *logStyle {
	style := &logStyle{}
	style.apply(c)
	return style
}

// apply changes the style to that of a configuration.
func (style *logStyle) apply(c conf.Global) {
	style.level.Set(c.LogLevel)
	style.json.Store(c.LogFormat == conf.LogJSON)
}

// logger returns a logger that writes to w, whose Write may be called by any
// goroutine.
func (style *logStyle) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: &style.level}
	return slog.New(&styled{style, slog.NewTextHandler(w, options), slog.NewJSONHandler(w, options)})
}

// styled is a slog.Handler that writes in the present style.
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
