package storetest

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/stayauth/stayauth/provider/shared"
)

// testErrors provokes errors, and checks that they show nothing of a record.
func testErrors(t *testing.T, a, b shared.Store) {
	const there, given = "KEPTuvwxyzSECRETabcdef", "GIVENmnopqrSECRETghijkl"
	key, other := newKey(), newKey()
	version := mustSwap(t, a, key, there, 0)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for _, s := range []shared.Store{a, b} {
		for _, ctx := range []context.Context{t.Context(), gone} {
			for _, over := range []uint64{0, 1, version - 1, version + 1, 1 << 63, 1<<64 - 1} {
				_, err := s.CompareAndSwap(ctx, key, []byte(given), over)
				quotesNothing(t, err, there, given)
				if over != 0 {
					_, err = s.CompareAndSwap(ctx, other, []byte(given), over)
					quotesNothing(t, err, there, given)
				}
			}
			_, _, err := s.Load(ctx, key)
			quotesNothing(t, err, there)
		}
		_, err := s.CompareAndSwap(gone, key, []byte(given), version)
		quotesNothing(t, err, there, given)
	}
}

// quotesNothing checks that err shows no part of the records, whichever way it is printed and they
// are encoded.
func quotesNothing(t *testing.T, err error, records ...string) {
	t.Helper()
	if err == nil {
		return
	}
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, record := range records {
		const part = 8
		for i := range len(record) - part + 1 {
			window := []byte(record[i : i+part])
			for _, form := range []string{
				string(window), hex.EncodeToString(window), strings.Trim(fmt.Sprint(window), "[]"), base64.StdEncoding.EncodeToString(window[:6]),
			} {
				if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
					t.Fatalf("the error %q quotes a record: those hold secrets, and errors are logged", text)
				}
			}
		}
	}
}
