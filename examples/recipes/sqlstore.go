package recipes

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/stayauth/stayauth/provider"
	"github.com/stayauth/stayauth/provider/shared"
)

// A SQLStore is a shared.Store in a database that the program has anyway:
//
//	login := &shared.Login{Provider: p, Store: SQLStore{db}, Key: "alice"}
//
// It needs one table; in PostgreSQL say BYTEA for BLOB:
//
//	CREATE TABLE logins (name BLOB PRIMARY KEY, version BIGINT NOT NULL, record BLOB NOT NULL)
//
// Names are bytes, because text compares in more ways than one: "Alice" is "alice" to MySQL. The
// statements are those of PostgreSQL and SQLite; MySQL wants ? and INSERT IGNORE. Leave PostgreSQL
// at READ COMMITTED, its default: with more isolation a race that is lost is an error of its own
// (40001) instead of a conflict. And ask no replica, because what was written must be seen at once.
//
// Records hold refresh tokens, so anyone who reads the table is logged in. Package keychain can
// seal them.
type SQLStore struct{ DB *sql.DB }

// Load implements shared.Store.
func (s SQLStore) Load(ctx context.Context, key string) (record []byte, version uint64, err error) {
	if s.DB == nil {
		return nil, 0, errNoDB()
	}
	err = s.DB.QueryRowContext(ctx, `SELECT version, record FROM logins WHERE name = $1`, []byte(key)).Scan(&version, &record)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("loading the login: %w", err)
	}
	return record, version, nil
}

// CompareAndSwap implements shared.Store. The version is a time, so that it grows even when the row
// was lost in between, by this machine's clock, or one more than the last.
func (s SQLStore) CompareAndSwap(ctx context.Context, key string, record []byte, version uint64) (uint64, error) {
	if s.DB == nil {
		return 0, errNoDB()
	}
	if version >= math.MaxInt64 {
		return 0, shared.ErrConflict // no BIGINT, so it can't be there; database/sql would call it an error
	}
	next := max(version+1, uint64(time.Now().UnixMicro()))
	var done sql.Result
	var err error
	if version == 0 {
		done, err = s.DB.ExecContext(ctx, `INSERT INTO logins (name, version, record) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
			[]byte(key), next, record)
	} else {
		done, err = s.DB.ExecContext(ctx, `UPDATE logins SET version = $1, record = $2 WHERE name = $3 AND version = $4`,
			next, record, []byte(key), version)
	}
	if err != nil {
		return 0, fmt.Errorf("saving the login: %w", err)
	}
	switch n, err := done.RowsAffected(); {
	case err != nil:
		return 0, fmt.Errorf("saving the login: %w", err)
	case n == 0:
		return 0, shared.ErrConflict
	}
	return next, nil
}

func errNoDB() error { return provider.Permanent(errors.New("SQLStore.DB is not set")) }
