// Package recipes shows stayauth together with what a program already has: other libraries, other
// protocols, other stores. Each file is one recipe, to be pasted and changed, and has its test
// beside it.
//
//	oauth2.go         golang.org/x/oauth2, in both directions
//	retryablehttp.go  hashicorp/go-retryablehttp above a Transport
//	resty.go          resty above a Transport
//	grpc.go           gRPC calls and streams
//	prometheus.go     a Transport in Prometheus, and what to be woken for
//	otel.go           OpenTelemetry: requests, attempts and refreshes as spans
//	sqlstore.go       a shared login in PostgreSQL or SQLite
//	etcdstore.go      a shared login in etcd
//	dpop.go           tokens that are bound to a key: the client side of DPoP
//	mcp.go            an MCP client whose session outlives its tokens
//	expired200.go     an API that says "expired" in a 200
package recipes
