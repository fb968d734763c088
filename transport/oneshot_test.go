package transport_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/transport"
)

// Guarantee 11: what can be sent only once waits for an early refresh, gets its 401 back at once if
// it is rejected all the same, and leaves a better token to the next.
func TestG11_OneShotBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Hour, delay: time.Second}
		tr := through(t, s)
		upload := func() (int, string, time.Duration) {
			req, _ := http.NewRequest("POST", "https://api.example.com", io.NopCloser(bytes.NewReader(make([]byte, 100<<10))))
			req.ContentLength = 100 << 10
			began := time.Now()
			resp, err := tr.RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			return resp.StatusCode, string(b), time.Since(began)
		}
		upload()
		if status, _, took := upload(); status != 200 || took != 0 {
			t.Errorf("under a young token: %d after %s", status, took)
		}
		time.Sleep(50 * time.Minute)
		if status, _, took := upload(); status != 200 || took != time.Second {
			t.Errorf("under an old token: %d after %s, want to wait for the early refresh", status, took)
		}
		s.revoke()
		if status, body, took := upload(); status != 401 || body != "the token has expired" || took != 0 {
			t.Errorf("rejected: %d %q after %s", status, body, took)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if status, _, took := upload(); status != 200 || took != 0 {
			t.Errorf("after the rejection: %d after %s", status, took)
		}
		if st := tr.Stats(); st.NotReplayable != 1 || st.Replayed != 0 {
			t.Errorf("stats %+v", st)
		}
	})
	synctest.Test(t, func(t *testing.T) { // an early refresh that fails does not hold it up
		s := &stub{life: time.Hour, delay: time.Second}
		s.mint = func(n int) (provider.Token, error) {
			if n > 1 {
				return provider.Token{}, errors.New("down")
			}
			return provider.Token{}, nil
		}
		tr := through(t, s)
		mustGet(t, tr)
		time.Sleep(50 * time.Minute)
		req, _ := http.NewRequest("POST", "https://api.example.com", io.NopCloser(bytes.NewReader(make([]byte, 100<<10))))
		if status, err := send(tr, req); status != 200 || err != nil {
			t.Errorf("%d, %v", status, err)
		}
	})
}

// Guarantee 11: past the third strike, too, a body that can be sent only once waits for a refresh
// that is under way.
func TestG11_OneShotDuringARefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{}
		tr := through(t, s)
		tr.KeepBody = -1
		var tok provider.Token
		for range 5 {
			tr.Reject(tok)
			time.Sleep(30 * time.Second)
			tok, _ = tr.Token(t.Context())
		}
		time.Sleep(time.Minute)
		s.revoke()
		s.delay = time.Second
		tr.Reject(tok)
		var wg sync.WaitGroup
		wg.Go(func() { mustGet(t, tr) }) // begins the refresh
		synctest.Wait()
		req, _ := http.NewRequest("POST", "https://api.example.com", io.MultiReader(strings.NewReader("x")))
		if status, err := send(tr, req); status != 200 || err != nil {
			t.Errorf("%d, %v", status, err)
		}
		wg.Wait()
	})
}

// Guarantee 11: a long body that would rather wait goes out all the same where it can't, because
// the token lives.
func TestG11_ALongBodyInAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Hour, delay: time.Second}
		tr := through(t, s)
		tr.MaxWaiting = 1
		mustGet(t, tr)
		time.Sleep(50 * time.Minute)
		mustGet(t, tr)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				req, _ := http.NewRequest("POST", "https://api.example.com", io.MultiReader(strings.NewReader("x")))
				if status, err := send(tr, req); status != 200 || err != nil {
					t.Errorf("%d, %v under a live token", status, err)
				}
			})
		}
		wg.Wait()
	})
}

// Guarantee 11: a body of unknown length may turn out to be too long for a replay, so it waits for
// an early refresh.
func TestG11_AnUnknownLengthWaitsForTheNextToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stub{life: time.Hour, delay: time.Second}
		tr := through(t, s)
		mustGet(t, tr)
		time.Sleep(50 * time.Minute)
		for _, length := range []int64{-1, 0} { // net/http takes both for unknown
			began := time.Now()
			req, _ := http.NewRequest("POST", "https://api.example.com", io.MultiReader(strings.NewReader("x")))
			req.ContentLength = length
			if status, err := send(tr, req); status != 200 || err != nil || time.Since(began) != time.Second {
				t.Errorf("%d, %v after %s", status, err, time.Since(began))
			}
			time.Sleep(50 * time.Minute)
		}
	})
}

// Guarantee 11: with Expect: 100-continue an API rejects before anything is sent. Nothing of the
// body was read, so it is replayed whatever its length.
func TestG11_ExpectContinue(t *testing.T) {
	s := &sink{stub: &stub{}, early: true, arrived: map[string][][sha256.Size]byte{}}
	url, base := listen(t, "HTTP/1.1", s)
	base.ExpectContinueTimeout = time.Minute
	tr := &transport.Transport{Provider: s.stub, Base: base}
	defer tr.Close()
	if _, err := tr.Token(t.Context()); err != nil {
		t.Fatal(err)
	}
	data := bytes.Repeat([]byte("x"), 1<<20)
	for _, length := range []int64{int64(len(data)), -1} {
		s.revoke()
		req, _ := http.NewRequest("PUT", url, io.NopCloser(bufio.NewReader(bytes.NewReader(data))))
		req.ContentLength = length
		req.Header.Set("Expect", "100-continue")
		req.Header.Set("X-Client-Request-Id", fmt.Sprint(length))
		status, err := send(tr, req)
		got := s.arrived[fmt.Sprint(length)]
		if status != 200 || err != nil || len(got) != 1 || got[0] != sha256.Sum256(data) {
			t.Errorf("length %d: %d, %v, %d bodies arrived", length, status, err, len(got))
		}
	}
}
