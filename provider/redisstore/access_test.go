//go:build unix

package redisstore_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/redisstore"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// documented returns the ACL rules of the package's documentation, without the password.
func documented(t *testing.T) []any {
	source, err := os.ReadFile("redisstore.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rules, ok := strings.Cut(string(source), "ACL SETUSER fleet on >password ")
	rules, _, ok2 := strings.Cut(rules, "\n//\n")
	if !ok || !ok2 {
		t.Fatal("the documentation has no ACL rules")
	}
	var list []any
	for _, rule := range strings.Fields(strings.ReplaceAll(rules, "//", "")) {
		list = append(list, rule)
	}
	return list
}

func withRules(t *testing.T, server *server, rules []any) *redis.Client {
	server.do(append([]any{"ACL", "SETUSER", "fleet", "reset", "on", ">password"}, rules...)...)
	c := redis.NewClient(&redis.Options{Addr: server.addr(), Username: "fleet", Password: "password"})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestAccessLists: a user with the documented commands, and no other, can do it all.
func TestAccessLists(t *testing.T) {
	server := startRedis(t)
	store := &redisstore.Store{Client: withRules(t, server, append(documented(t), "~stayauth:*"))}
	storetest.Run(t, func(*testing.T) shared.Store { return store })
	watched(t, store)
	backend := new(rotating)
	p := &shared.Login{Provider: backend, Store: store, Key: "alice"}
	login(t, p)
	next(t, p, first(), "token-1")
}

// TestAccessListsWithoutChannel: no one is told, and everything else works.
func TestAccessListsWithoutChannel(t *testing.T) {
	server, backend := startRedis(t), new(rotating)
	var rules []any
	for _, r := range documented(t) {
		if s := r.(string); !strings.HasPrefix(s, "&") && !strings.Contains(s, "publish") && !strings.Contains(s, "subscribe") {
			rules = append(rules, r)
		}
	}
	store := &redisstore.Store{Client: withRules(t, server, append(rules, "resetchannels"))}
	p := &shared.Login{Provider: backend, Store: store, Key: "alice", Lease: lease}
	login(t, p)
	backend.work = time.Second
	other := &shared.Login{Provider: backend, Store: store, Key: "alice", Lease: lease}
	done := make(chan struct{})
	go func() { // ends with the call
		defer close(done)
		next(t, other, first(), "token-1")
	}()
	next(t, p, first(), "token-1")
	<-done
	backend.want(t, 1)
}

// TestAccessDenied: what a person has to mend is told at once, and says that nothing can be written
// where that is so.
func TestAccessDenied(t *testing.T) {
	server := startRedis(t)
	store := &redisstore.Store{Client: withRules(t, server, []any{"~stayauth:*", "+hmget"})}
	if _, err := store.CompareAndSwap(within(t), "alice", []byte("geheim"), 0); !errors.Is(err, shared.ErrUnwritable) || strings.Contains(err.Error(), "geheim") {
		t.Errorf("CompareAndSwap without the right to: %v; want ErrUnwritable", err)
	}
	wrong := redis.NewClient(&redis.Options{Addr: server.addr(), Username: "fleet", Password: "wrong"})
	defer wrong.Close()
	for _, old := range []provider.Token{{}, first()} {
		began := time.Now()
		_, err := (&shared.Login{Provider: new(rotating), Store: &redisstore.Store{Client: wrong}, Key: "alice"}).Token(within(t), old)
		if !provider.IsNoRetry(err) || provider.IsPermanent(err) {
			t.Errorf("Token with a wrong password: %v; want a temporary error for which no transport waits", err)
		}
		if time.Since(began) > 20*time.Second {
			t.Errorf("it took %v", time.Since(began))
		}
	}
	if _, err := (&shared.Login{Provider: new(rotating), Store: new(redisstore.Store), Key: "alice"}).Token(within(t), first()); !provider.IsPermanent(err) {
		t.Errorf("Token without a Client: %v; want a permanent error", err)
	}
}

// TestEviction: logins without a TTL are safe under noeviction and under volatile-*. A full server
// is an error that says so.
func TestEviction(t *testing.T) {
	for _, policy := range []string{"noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"} {
		t.Run(policy, func(t *testing.T) {
			server := startRedis(t, "--maxmemory-policy", policy)
			client := server.client()
			store := &redisstore.Store{Client: client}
			version, err := store.CompareAndSwap(within(t), "alice", []byte("kept"), 0)
			if err != nil {
				t.Fatal(err)
			}
			server.do("CONFIG", "SET", "maxmemory", "3mb")
			full := false
			for i := range 4000 {
				err := client.Set(within(t), fmt.Sprint("other:", i), strings.Repeat("x", 1000), time.Hour).Err()
				full = full || redis.IsOOMError(err)
			}
			if record, v, err := store.Load(within(t), "alice"); string(record) != "kept" || v != version || err != nil {
				t.Errorf("Load from a full server = %q, %d, %v; want what was saved", record, v, err)
			}
			_, err = store.CompareAndSwap(within(t), "alice", []byte("kept"), version)
			if full != (policy == "noeviction") || full != errors.Is(err, shared.ErrUnwritable) || !full && err != nil {
				t.Errorf("full: %v, CompareAndSwap: %v; want ErrUnwritable from a full server with noeviction, and else no error", full, err)
			}
		})
	}
}

// TestTLS is a login over TLS, with a server that has a certificate of its own.
func TestTLS(t *testing.T) {
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{"cert.pem": cert, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_, port, _ := net.SplitHostPort(addr)
	_ = l.Close()
	startRedis(t, "--tls-port", port, "--tls-cert-file", filepath.Join(dir, "cert.pem"), "--tls-key-file", filepath.Join(dir, "key.pem"),
		"--tls-ca-cert-file", filepath.Join(dir, "cert.pem"), "--tls-auth-clients", "no")

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert)
	client := redis.NewClient(&redis.Options{Addr: addr, TLSConfig: &tls.Config{RootCAs: roots}})
	defer client.Close()
	store, backend := &redisstore.Store{Client: client}, new(rotating)
	p := &shared.Login{Provider: backend, Store: store, Key: "alice"}
	login(t, p)
	next(t, p, first(), "token-1")
	watched(t, store)
	stranger := redis.NewClient(&redis.Options{Addr: addr, TLSConfig: new(tls.Config)})
	defer stranger.Close()
	if _, _, err := (&redisstore.Store{Client: stranger}).Load(within(t), "alice"); err == nil {
		t.Error("Load from a server with an unknown certificate succeeded")
	}
}
