package recipes_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stayauth/stayauth/examples/recipes"
	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/testserver"
	"github.com/stayauth/stayauth/transport"
)

func TestMCP(t *testing.T) {
	server := mcp.NewServer(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	mcp.AddTool(server, &mcp.Tool{Name: "greet"}, func(_ context.Context, _ *mcp.CallToolRequest, in struct{ Name string }) (*mcp.CallToolResult, any, error) {
		return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: "hello " + in.Name}}}, nil, nil
	})
	guard := &testserver.Guard{Next: mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, nil)}
	defer guard.Close()
	ts := httptest.NewServer(guard)
	defer ts.Close()
	var calls atomic.Int64
	var over atomic.Bool
	tr := &transport.Transport{Provider: provider.Func(func(context.Context) (string, error) {
		calls.Add(1)
		if over.Load() {
			return "", provider.Permanent(errors.New("the session was revoked"))
		}
		return guard.Issue("alice"), nil
	})}
	defer tr.Close()

	session, err := recipes.ConnectMCP(t.Context(), tr, ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	greet := func() (string, error) {
		result, err := session.CallTool(t.Context(), &mcp.CallToolParams{Name: "greet", Arguments: map[string]any{"Name": "alice"}})
		if err != nil {
			return "", err
		}
		return result.Content[0].(*mcp.TextContent).Text, nil
	}
	got, err := greet()
	want(t, "the tool", got, "hello alice")
	want(t, "its error", err, nil)
	guard.Revoke("alice")
	got, err = greet()
	want(t, "the tool after the revocation", got, "hello alice")
	want(t, "its error", err, nil)
	want(t, "provider calls", calls.Load(), 2)

	guard.Revoke("alice")
	over.Store(true)
	if _, err := greet(); err == nil {
		t.Error("the tool was called after the login's end")
	} else if _, ok := errors.AsType[*transport.RefreshError](err); !ok {
		t.Errorf("after the login's end: %v", err)
	}
}
