package referee_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stayauth/stayauth/provider"
)

// newOIDCProvider returns npm's oidc-provider: refresh tokens rotate, one that comes twice ends the
// login, access tokens are bound to a key by DPoP, and every proof needs the server's nonce. dir is
// where install put it.
func newOIDCProvider(t *testing.T, dir string, life time.Duration) *server {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	var node *httputil.ReverseProxy // set before the first request
	s := newServer(t, "/token", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { node.ServeHTTP(w, r) }))
	s.revoke, s.api = "/token/revocation", s.URL+"/me"
	if s.key, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		t.Fatal(err)
	}

	cmd := exec.CommandContext(t.Context(), "node", "server.mjs")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "ISSUER="+s.URL, "CLIENT_ID="+clientID, "CLIENT_SECRET="+clientSecret, fmt.Sprint("TTL=", life.Seconds()))
	stdin, err := cmd.StdinPipe() // when it closes, the server ends
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait() // the context of a test that has ended kills it, which is no failure
	})
	port, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("oidc-provider doesn't start: %v\n%s", err, &stderr)
	}
	target := &url.URL{Scheme: "http", Host: "127.0.0.1:" + strings.TrimSpace(port)}
	node = &httputil.ReverseProxy{Rewrite: func(pr *httputil.ProxyRequest) {
		pr.SetURL(target)
		pr.Out.Host = pr.In.Host // what the proofs are made for
	}}
	s.login = func() provider.Token {
		t.Helper()
		resp, err := http.Get(target.JoinPath("login").String())
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		refresh, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("the login failed: %d %s %v", resp.StatusCode, refresh, err)
		}
		return provider.Token{}.WithRefreshToken(string(refresh))
	}
	return s
}

// install returns a directory with oidc-provider in it. It skips the test, or fails it, where that
// can't be had.
func install(t *testing.T) string {
	t.Helper()
	missing := t.Skipf
	switch os.Getenv("INTEROP") {
	case "":
		t.Skip("oidc-provider is not run: set INTEROP=1 (or INTEROP=require) to install it from npm and run it")
	case "require":
		missing = t.Fatalf
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			missing("oidc-provider can't be run: %v", err)
		}
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("oidc")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		missing("oidc-provider can't be installed: npm ci: %v\n%s", err, out)
	}
	return dir
}
