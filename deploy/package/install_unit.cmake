# Run by `cmake --install`: the systemd unit, with the paths of the prefix, and the configuration that it reads. A configuration
# that is there already is left alone.

get_filename_component(prefix "${CMAKE_INSTALL_PREFIX}" ABSOLUTE BASE_DIR "$ENV{PWD}")
get_filename_component(programs "${DUALBUS_BINDIR}" ABSOLUTE BASE_DIR "${prefix}")
if(prefix STREQUAL "/usr") # as GNUInstallDirs has it
  get_filename_component(settings "${DUALBUS_SYSCONFDIR}/dualbus" ABSOLUTE BASE_DIR "/")
else()
  get_filename_component(settings "${DUALBUS_SYSCONFDIR}/dualbus" ABSOLUTE BASE_DIR "${prefix}")
endif()

file(READ "${DUALBUS_SOURCES}/deploy/dualbusd.service" unit)
string(REPLACE "/usr/local/bin/dualbusd" "${programs}/dualbusd" unit "${unit}")
string(REPLACE "/etc/dualbus/" "${settings}/" unit "${unit}")
file(WRITE "${DUALBUS_SCRATCH}/dualbusd.service" "${unit}")
file(INSTALL "${DUALBUS_SCRATCH}/dualbusd.service" DESTINATION "${prefix}/lib/systemd/system")

if(EXISTS "$ENV{DESTDIR}${settings}/dualbus.yaml")
  message(STATUS "Left alone: $ENV{DESTDIR}${settings}/dualbus.yaml")
else()
  file(INSTALL "${DUALBUS_SOURCES}/config/dualbus.yaml" DESTINATION "${settings}")
endif()
