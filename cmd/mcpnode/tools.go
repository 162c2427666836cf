package main

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The bounds of the tool slow: no call lasts forever.
const (
	maxSlowSeconds = 3600
	maxSlowSteps   = 10_000
)

// newServer returns an MCP server that many sessions share: its tools are registered
// once, and a session costs only its state.
func newServer(name, version string, log *slog.Logger) *mcp.Server {
	server := mcp.NewServer(&mcp.Implementation{Name: "mcpnode", Title: name, Version: version},
		&mcp.ServerOptions{Logger: sdkLogger(log), Capabilities: capabilities()})
	mcp.AddTool(server, &mcp.Tool{Name: "echo", Description: "Returns its message."}, echo)
	mcp.AddTool(server, &mcp.Tool{Name: "whoami", Description: "Returns the name of the node that answers."}, whoami(name))
	mcp.AddTool(server, &mcp.Tool{Name: "slow", Description: "Takes some seconds, in steps; reports each step as progress."}, slow)
	mcp.AddTool(server, &mcp.Tool{Name: "ask", Description: "Asks the client's model and returns its answer."}, ask)
	return server
}

// capabilities are those of the SDK's default, and the extension for tasks.
func capabilities() *mcp.ServerCapabilities {
	//lint:ignore SA1019 logging is deprecated together with sessions, which have it
	all := &mcp.ServerCapabilities{Logging: &mcp.LoggingCapabilities{}}
	all.AddExtension(tasksExtension, nil)
	return all
}

// sdkLogger forwards the SDK's log at debug level only: the SDK logs several lines
// per session, and clients' mistakes as errors.
func sdkLogger(log *slog.Logger) *slog.Logger {
	if log.Enabled(context.Background(), slog.LevelDebug) {
		return log
	}
	return slog.New(slog.DiscardHandler)
}

type echoArguments struct {
	Message string `json:"message" jsonschema:"what to return"`
}

func echo(_ context.Context, _ *mcp.CallToolRequest, args echoArguments) (*mcp.CallToolResult, any, error) {
	return text(args.Message), nil, nil
}

func whoami(name string) mcp.ToolHandlerFor[struct{}, any] {
	return func(context.Context, *mcp.CallToolRequest, struct{}) (*mcp.CallToolResult, any, error) {
		return text(name), nil, nil
	}
}

type slowArguments struct {
	Seconds float64 `json:"seconds" jsonschema:"how long the call takes in all, 0 to 3600"`
	Steps   int     `json:"steps,omitempty" jsonschema:"how many steps the time is divided into, 1 to 10000; 1 when absent"`
}

// slow waits in steps and reports progress after each, if the caller sent a progress
// token. It ends early, with an error, when the call is cancelled or its session
// ends.
func slow(ctx context.Context, req *mcp.CallToolRequest, args slowArguments) (*mcp.CallToolResult, any, error) {
	steps := max(args.Steps, 1)
	if math.IsNaN(args.Seconds) || args.Seconds < 0 || args.Seconds > maxSlowSeconds || steps > maxSlowSteps {
		return nil, nil, fmt.Errorf("seconds must be 0 to %d and steps 1 to %d", maxSlowSeconds, maxSlowSteps)
	}
	total := time.Duration(args.Seconds * float64(time.Second))
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for step := 1; step <= steps; step++ {
		// The end of each step is computed from the start of the call, so that
		// rounding and late timers do not add up.
		timer.Reset(time.Until(start.Add(total * time.Duration(step) / time.Duration(steps))))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil, nil, fmt.Errorf("cancelled in step %d of %d: %w", step, steps, context.Cause(ctx))
		}
		if err := reportProgress(ctx, req, step, steps); err != nil {
			return nil, nil, fmt.Errorf("report progress of step %d: %w", step, err)
		}
	}
	return text(fmt.Sprintf("%d steps in %v", steps, total)), nil, nil
}

func reportProgress(ctx context.Context, req *mcp.CallToolRequest, step, steps int) error {
	token := req.Params.GetProgressToken()
	if token == nil {
		return nil
	}
	return req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
		ProgressToken: token,
		Progress:      float64(step),
		Total:         float64(steps),
		Message:       fmt.Sprintf("step %d of %d", step, steps),
	})
}

func text(s string) *mcp.CallToolResult {
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: s}}}
}
