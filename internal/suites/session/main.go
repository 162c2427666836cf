package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// slowSteps is how often the tool slow reports its progress.
const slowSteps = 3

func main() {
	flag.Usage = func() { fmt.Fprintln(os.Stderr, "usage: session HOST:PORT") }
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	if err := run(ctx, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "session:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	progress := make(chan float64, slowSteps)
	client := mcp.NewClient(&mcp.Implementation{Name: "session", Version: "1"}, &mcp.ClientOptions{
		ProgressNotificationHandler: func(_ context.Context, request *mcp.ProgressNotificationClientRequest) {
			progress <- request.Params.Progress
		},
	})
	session, err := client.Connect(ctx, &mcp.IOTransport{Reader: conn, Writer: conn}, nil)
	if err != nil {
		return fmt.Errorf("initialize: %w", err)
	}
	defer session.Close()
	info := session.InitializeResult()
	fmt.Printf("initialize:  %s %s, protocol %s\n", info.ServerInfo.Name, info.ServerInfo.Title, info.ProtocolVersion)
	if err := use(ctx, session); err != nil {
		return err
	}
	for range slowSteps {
		select {
		case step := <-progress:
			fmt.Printf("progress:    %v of %d\n", step, slowSteps)
		case <-ctx.Done():
			return errors.New("slow has returned, but not all of its progress was reported")
		}
	}
	return nil
}

// use lists the tools and calls them.
func use(ctx context.Context, session *mcp.ClientSession) error {
	listed, err := session.ListTools(ctx, nil)
	if err != nil {
		return fmt.Errorf("tools/list: %w", err)
	}
	var names []string
	for _, tool := range listed.Tools {
		names = append(names, tool.Name)
	}
	fmt.Printf("tools/list:  %s\n", strings.Join(names, ", "))
	for _, call := range []*mcp.CallToolParams{
		{Name: "whoami"},
		{Name: "echo", Arguments: map[string]any{"message": "hello"}},
		{Name: "slow", Arguments: map[string]any{"seconds": 0.3, "steps": slowSteps}},
	} {
		call.SetProgressToken(call.Name)
		result, err := session.CallTool(ctx, call)
		if err != nil {
			return fmt.Errorf("tools/call %s: %w", call.Name, err)
		}
		text, ok := result.Content[0].(*mcp.TextContent)
		if result.IsError || !ok {
			return fmt.Errorf("tools/call %s: unexpected result %v", call.Name, result.Content)
		}
		fmt.Printf("%-12s %s\n", call.Name+":", text.Text)
	}
	return nil
}
