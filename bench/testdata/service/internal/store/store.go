// Package store keeps values in the databases that are set.
package store

import (
	"context"
	"database/sql"

	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.etcd.io/bbolt"

	"example.com/service/internal/config"
)

// Store is where values are kept.
type Store struct{ settings config.Settings }

// Open returns the store of the settings; it connects when it is used.
func Open(s config.Settings) *Store { return &Store{settings: s} }

// Ping asks every database that is set.
func (s *Store) Ping(ctx context.Context) error {
	if s.settings.Postgres != "" {
		pool, err := pgxpool.New(ctx, s.settings.Postgres)
		if err != nil {
			return err
		}
		defer pool.Close()
		return pool.Ping(ctx)
	}
	if s.settings.MySQL != "" {
		db, err := sql.Open("mysql", s.settings.MySQL)
		if err != nil {
			return err
		}
		defer db.Close()
		return db.PingContext(ctx)
	}
	return nil
}

// Dump names a bucket in a file.
func (s *Store) Dump(file, name string) error {
	db, err := bbolt.Open(file, 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte(name))
		return err
	})
}
