//go:build (linux && !race) || sqlite

// SQLite, translated to Go, takes a core half a minute to compile, which once is enough: not for
// the race detector and for other platforms, too. There: go test -tags sqlite.

package recipes_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/ncruces/go-sqlite3/driver"
	"github.com/stayauth/stayauth/examples/recipes"
	"github.com/stayauth/stayauth/provider/shared"
	"github.com/stayauth/stayauth/provider/storetest"
)

// openSQLite returns a function that opens one file of SQLite several times.
func openSQLite(t *testing.T) func(*testing.T) *sql.DB {
	file := "file:" + filepath.ToSlash(filepath.Join(t.TempDir(), "logins.db")) + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)"
	open := func(t *testing.T) *sql.DB {
		t.Helper()
		db, err := driver.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		return db
	}
	if _, err := open(t).Exec(`CREATE TABLE logins (name BLOB PRIMARY KEY, version BIGINT NOT NULL, record BLOB NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	return open
}

func TestSQLStore(t *testing.T) {
	open := openSQLite(t)
	store := func(t *testing.T) shared.Store { return recipes.SQLStore{DB: open(t)} }
	storetest.Run(t, store)
	storetest.RunLoss(t, store, func(t *testing.T) {
		if _, err := open(t).Exec(`DELETE FROM logins`); err != nil {
			t.Fatal(err)
		}
	})
}
