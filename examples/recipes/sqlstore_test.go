package recipes_test

import (
	"testing"

	"github.com/stayauth/stayauth/examples/recipes"
	"github.com/stayauth/stayauth/provider"
)

func TestSQLStoreMistake(t *testing.T) {
	_, _, err := recipes.SQLStore{}.Load(t.Context(), "alice")
	want(t, "Load without a database is a permanent error", provider.IsPermanent(err), true)
	_, err = recipes.SQLStore{}.CompareAndSwap(t.Context(), "alice", []byte("record"), 0)
	want(t, "CompareAndSwap without a database is a permanent error", provider.IsPermanent(err), true)
}
