# cmake --install puts the program and everything that belongs to it under any prefix; cpack makes a Debian package of the same.
#
# Only the daemon has to be built: what its build has not made is left out.

include(GNUInstallDirs)

install(TARGETS dualbusd RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(TARGETS dualbusctl dualbus-fleet RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} OPTIONAL)

# Made from the tables of the program when that was linked: see src/app/CMakeLists.txt.
install(FILES ${DUALBUS_MANUALS}/dualbusd.8 DESTINATION ${CMAKE_INSTALL_MANDIR}/man8 OPTIONAL)
install(FILES ${DUALBUS_MANUALS}/dualbus.yaml.5 DESTINATION ${CMAKE_INSTALL_MANDIR}/man5 OPTIONAL)
install(FILES ${DUALBUS_MANUALS}/dualbusd.bash DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions
  RENAME dualbusd OPTIONAL)
install(FILES ${DUALBUS_MANUALS}/dualbus.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/dualbus OPTIONAL)

install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES config/dualbus.yaml config/plain.yaml config/sentinel.yaml
  deploy/alerts.yml deploy/prometheus.yml deploy/haproxy.cfg deploy/keepalived.conf
  DESTINATION ${CMAKE_INSTALL_DOCDIR}/examples)

# The unit and the configuration depend on the prefix, which may be given as late as with `cmake --install --prefix`.
install(CODE "
  set(DUALBUS_SOURCES \"${PROJECT_SOURCE_DIR}\")
  set(DUALBUS_SCRATCH \"${DUALBUS_MANUALS}\")
  set(DUALBUS_BINDIR \"${CMAKE_INSTALL_BINDIR}\")
  set(DUALBUS_SYSCONFDIR \"${CMAKE_INSTALL_SYSCONFDIR}\")")
install(SCRIPT ${CMAKE_CURRENT_LIST_DIR}/install_unit.cmake)

# ---------------------------------------------------------------------- the Debian package

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME dualbus)
set(CPACK_PACKAGE_VENDOR dualbus)
set(DUALBUS_MAINTAINER "dualbus maintainers <maintainers@dualbus.invalid>" CACHE STRING "The maintainer that the Debian package names")
set(CPACK_PACKAGE_CONTACT "${DUALBUS_MAINTAINER}")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# The user of the service is made by systemd-sysusers.
set(CPACK_DEBIAN_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers | systemd-sysusers")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "redis-server, prometheus")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"dualbusd speaks the protocol of Redis and stands where one Redis did. It
looks at the type of every message and stores it on the Redis server where
it belongs; a stream whose entries are on several servers reads as one.

The service is neither enabled nor started: it listens on the port of Redis,
and its configuration must name the Redis servers first.")
set(control ${CMAKE_CURRENT_LIST_DIR})
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${control}/postinst ${control}/prerm ${control}/postrm ${control}/conffiles)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_STRIP_FILES ON)
# /etc lies outside the prefix.
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian_files.cmake)
include(CPack)
