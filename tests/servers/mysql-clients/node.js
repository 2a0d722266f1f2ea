// SPDX-License-Identifier: BSD-2-Clause
// A client for captures: the npm packages mysql, mysql2 and mariadb (in the folder NODE_PATH).
// Arguments: package (mariadb-bulk: with COM_STMT_BULK_EXECUTE), host, port, user, password, second user, its password.
'use strict';
const [name, host, port, user, password, user2, password2] = process.argv.slice(2);
const options = {host, port: +port, user, password, database: 'appdb', multipleStatements: true};

async function statements(query, execute) {
    const tolerant = (f, ...a) => f(...a).catch(() => {});
    await query("SELECT id, name FROM customer WHERE city = 'Kyoto' LIMIT 5");
    await tolerant(query, 'SELECT * FROM no_such_table');
    await query("UPDATE counters SET n = n + 1 WHERE name = 'a'; SELECT n FROM counters");
    await query('CALL two_sets(2)');
    for (let i = 1; i <= 4; i++) {
        await execute('SELECT ?, name, born FROM customer WHERE id = ?', ['text ' + i, i]);
        await execute('SELECT COUNT(*) AS n FROM orders WHERE qty = ?', [i]);
    }
    await tolerant(execute, 'SELECT broken FROM', []);
    await execute('INSERT INTO types (i8, i64, d, dt, s, b) VALUES (?, ?, ?, ?, ?, ?)',
                  [1, 9007199254740000, 0.5, new Date(1600000000000), 'café', Buffer.from([0, 255])]);
    await Promise.all([1, 2, 3].map(i => query('SELECT ' + i + ' + ?', [i])));
}

async function withMysql() {
    const c = require('mysql').createConnection(options);
    const call = f => (...a) => new Promise((yes, no) => f.call(c, ...a, e => e ? no(e) : yes()));
    await call(c.connect)();
    await statements(call(c.query), call(c.query));
    await call(c.changeUser)({user: user2, password: password2, database: 'appdb'});
    await call(c.ping)();
    await call(c.end)();
}

async function withMysql2() {
    const c = await require('mysql2/promise').createConnection(options);
    await statements((...a) => c.query(...a), (...a) => c.execute(...a));
    await c.changeUser({user: user2, password: password2, database: 'otherdb'});
    await c.query('SELECT * FROM notes');
    await c.ping();
    await c.end();
}

async function withMariadb(bulk) {
    const c = await require('mariadb').createConnection(
        {...options, allowPublicKeyRetrieval: true, pipelining: true, prepareCacheLength: 3});
    await statements((...a) => c.query(...a), (...a) => c.execute(...a));
    if (bulk)
        await c.batch('INSERT INTO otherdb.notes (txt) VALUES (?)', [['b1'], ['b2'], ['b3']]);
    await c.changeUser({user: user2, password: password2, database: 'otherdb'}).catch(() => {});
    await c.reset().catch(() => {});
    await c.end();
}

({mysql: withMysql, mysql2: withMysql2, mariadb: () => withMariadb(false),
  'mariadb-bulk': () => withMariadb(true)})[name]().catch(e => {
    console.error(e);
    process.exit(1);
});
