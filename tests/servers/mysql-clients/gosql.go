// SPDX-License-Identifier: BSD-2-Clause
// A client for captures: go-sql-driver. Arguments: host:port, user, password.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"

	_ "github.com/go-sql-driver/mysql"
)

func main() {
	dsn := fmt.Sprintf("%s:%s@tcp(%s)/appdb?multiStatements=true&allowAllFiles=true",
		os.Args[2], os.Args[3], os.Args[1])
	for _, options := range []string{"", "&interpolateParams=true&charset=utf8mb4"} {
		db, err := sql.Open("mysql", dsn+options)
		if err != nil {
			panic(err)
		}
		db.SetMaxOpenConns(1)
		ctx := context.Background()
		c, err := db.Conn(ctx)
		if err != nil {
			panic(err)
		}
		for i := 1; i <= 3; i++ {
			rows, err := c.QueryContext(ctx, "SELECT id, name FROM customer WHERE id > ? LIMIT 4", i)
			if err == nil {
				for rows.Next() {
				}
				rows.Close()
			}
		}
		c.ExecContext(ctx, "INSERT INTO orders (customer_id, item, qty) VALUES (?, ?, ?)", 9, "go", 2)
		c.ExecContext(ctx, "SELECT broken FROM nowhere")
		tx, _ := c.BeginTx(ctx, nil)
		tx.Exec("UPDATE counters SET n = n + 10 WHERE name = 'a'")
		tx.Rollback()
		c.ExecContext(ctx, "SET @a = 1; SELECT @a")
		c.PingContext(ctx)
		c.Close()
		db.Close()
	}
}
