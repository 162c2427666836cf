//lint:file-ignore SA1019 sampling is deprecated together with the sessions that it tests

package main

import (
	"context"
	"fmt"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

type askArguments struct {
	Question string `json:"question" jsonschema:"what to ask the client's model"`
}

// ask asks the client a question before it answers the client's call: over HTTP, the
// question is sent on the call's stream, and the answer comes as another request,
// which must reach the same node. It fails from protocol version 2026-07-28 on, in
// which servers cannot ask.
func ask(ctx context.Context, req *mcp.CallToolRequest, args askArguments) (*mcp.CallToolResult, any, error) {
	answer, err := req.Session.CreateMessage(ctx, &mcp.CreateMessageParams{
		Messages:  []*mcp.SamplingMessage{{Role: "user", Content: &mcp.TextContent{Text: args.Question}}},
		MaxTokens: 100,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("ask the client: %w", err)
	}
	return &mcp.CallToolResult{Content: []mcp.Content{answer.Content}}, nil, nil
}
