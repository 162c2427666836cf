//lint:file-ignore SA1019 sampling is deprecated together with the sessions that it tests

package main

import (
	"context"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// The node asks the client in sessions. Without sessions, it fails.
func TestAsk(t *testing.T) {
	overHTTP(t, func(t *testing.T, connect func(*mcp.ClientOptions) *mcp.ClientSession, era string) {
		session := connect(&mcp.ClientOptions{
			CreateMessageHandler: func(_ context.Context, req *mcp.CreateMessageRequest) (*mcp.CreateMessageResult, error) {
				question := req.Params.Messages[0].Content.(*mcp.TextContent).Text
				return &mcp.CreateMessageResult{Model: "test", Role: "assistant", Content: &mcp.TextContent{Text: question + " 42"}}, nil
			},
		})
		result, err := session.CallTool(t.Context(), call("ask", map[string]any{"question": "why?"}))
		if err != nil {
			t.Fatal(err)
		}
		if era >= statelessSince {
			if !result.IsError || !strings.HasPrefix(textOf(result), "ask the client: ") {
				t.Errorf("got %q, want an error", textOf(result))
			}
		} else if got := textOf(result); got != "why? 42" {
			t.Errorf("the client's answer came out as %q", got)
		}
	})
}
