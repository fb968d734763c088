package recipes

import (
	"context"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stayauth/stayauth/transport"
)

// ConnectMCP connects to an MCP server that wants a token (streamable HTTP), as a program that runs
// for longer than its tokens live. The session survives them: the SDK never sees a 401, and its
// OAuthHandler, which would ask a person, is not needed.
//
// When the login is over, calls fail with a *transport.RefreshError.
func ConnectMCP(ctx context.Context, t *transport.Transport, endpoint string) (*mcp.ClientSession, error) {
	client := mcp.NewClient(&mcp.Implementation{Name: "recipes", Version: "1"}, nil)
	return client.Connect(ctx, &mcp.StreamableClientTransport{
		Endpoint:   endpoint,
		HTTPClient: &http.Client{Transport: t}, // no Timeout: the stream of the server's messages stays open
	}, nil)
}
