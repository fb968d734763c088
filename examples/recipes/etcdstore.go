package recipes

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

// An EtcdStore is a shared.Store in etcd, by the JSON that its members speak beside gRPC: so it
// needs no library of etcd's. Versions are etcd's own revisions, which grow whatever becomes of a
// key, but start anew with an empty data directory: log in anew after that.
//
// Records hold refresh tokens. Give etcd TLS and a Client with a certificate, and see package
// keychain, which can seal them.
type EtcdStore struct {
	URL    string       // of a member or what stands before several: "https://etcd:2379". Required
	Client *http.Client // nil means http.DefaultClient
	Prefix string       // begins the name of each key
}

// Load implements shared.Store. Reads are linearizable by etcd's default.
func (s EtcdStore) Load(ctx context.Context, key string) ([]byte, uint64, error) {
	var found struct {
		KVs []struct {
			Version uint64 `json:"mod_revision,string"`
			Record  []byte `json:"value"`
		} `json:"kvs"`
	}
	if err := s.call(ctx, "range", map[string]any{"key": s.name(key)}, &found); err != nil {
		return nil, 0, fmt.Errorf("loading the login: %w", err)
	}
	if len(found.KVs) == 0 {
		return nil, 0, nil
	}
	return found.KVs[0].Record, found.KVs[0].Version, nil
}

// CompareAndSwap implements shared.Store. A key that isn't there has revision 0.
func (s EtcdStore) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if version > math.MaxInt64 {
		return 0, shared.ErrConflict // no revision, so it can't be there
	}
	var done struct {
		Header struct {
			Revision uint64 `json:"revision,string"`
		} `json:"header"`
		Succeeded bool `json:"succeeded"`
	}
	err := s.call(ctx, "txn", map[string]any{
		"compare": []any{map[string]any{"target": "MOD", "key": s.name(key), "modRevision": strconv.FormatUint(version, 10)}},
		"success": []any{map[string]any{"requestPut": map[string]any{"key": s.name(key), "value": record}}},
	}, &done)
	if err != nil {
		return 0, fmt.Errorf("saving the login: %w", err)
	}
	if !done.Succeeded {
		return 0, shared.ErrConflict
	}
	return done.Header.Revision, nil
}

func (s EtcdStore) name(key string) []byte { return []byte(s.Prefix + key) } // base64 in JSON

// call never quotes an answer, which may hold a record.
func (s EtcdStore) call(ctx context.Context, method string, question, answer any) error {
	if s.URL == "" {
		return provider.Permanent(errors.New("EtcdStore.URL is not set"))
	}
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.URL+"/v3/kv/"+method, bytes.NewReader(body))
	if err != nil {
		return provider.Permanent(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := cmp.Or(s.Client, http.DefaultClient).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("etcd answered %s", resp.Status)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if json.Unmarshal(text, answer) != nil {
		return errors.New("etcd answered with something else than its JSON")
	}
	return nil
}
