// SPDX-License-Identifier: BSD-2-Clause
// A client for captures: MariaDB's JDBC driver. Arguments: host:port, user, password.
import java.sql.*;

class Jdbc {
    public static void main(String[] a) throws Exception {
        for (String options : new String[] {"", "&useServerPrepStmts=true", "&useCompression=true"}) {
            String url = "jdbc:mariadb://" + a[0] + "/appdb?allowPublicKeyRetrieval=true"
                + "&allowMultiQueries=true&allowLocalInfile=true" + options;
            try (Connection c = DriverManager.getConnection(url, a[1], a[2])) {
                try (PreparedStatement p =
                         c.prepareStatement("SELECT id, name, born FROM customer WHERE id = ?")) {
                    for (int i = 1; i <= 4; i++) {
                        p.setInt(1, i);
                        p.executeQuery().close();
                    }
                }
                try (PreparedStatement p = c.prepareStatement(
                         "INSERT INTO otherdb.notes (txt) VALUES (?)")) {
                    for (int i = 0; i < 3; i++) {
                        p.setString(1, "java " + i);
                        p.addBatch();
                    }
                    p.executeBatch();
                }
                try (Statement s = c.createStatement()) {
                    s.setFetchSize(10);
                    s.executeQuery("SELECT * FROM orders LIMIT 30").close();
                    s.execute("SELECT 1; SELECT 2");
                    while (s.getMoreResults() || s.getUpdateCount() != -1) { }
                    try { s.execute("SELECT * FROM no_such_table"); } catch (SQLException e) { }
                }
                c.setAutoCommit(false);
                c.createStatement().executeUpdate("UPDATE counters SET n = 3 WHERE name = 'c'");
                c.rollback();
                c.isValid(1);
            }
        }
    }
}
