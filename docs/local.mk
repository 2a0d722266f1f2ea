# SPDX-License-Identifier: BSD-2-Clause
dist_man_MANS += %D%/intercept.1 %D%/tcpburn.1 %D%/tcpcopy.1
dist_doc_DATA += %D%/ARCHITECTURE.md %D%/CHANNEL.md %D%/COMET.md %D%/MODULES.md %D%/MYSQL.md \
	%D%/TCPCOPY.md
